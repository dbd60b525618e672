// The last line of .ci/run, from vitest's JSON report and the parts counted beside it; and the check of a demo's
// JSON document with `--demo`.
import { readFileSync } from 'node:fs';

const [first, ...rest] = process.argv.slice(2);
process.exitCode = first === '--demo' ? checkDemo(rest[0]) : summary(first, Number(rest[0]), Number(rest[1]));

function checkDemo(path) {
  const { ok, steps, leaked } = JSON.parse(readFileSync(path, 'utf8'));
  const held = ok === true && steps.length > 0 && steps.every((step) => step.ok) && leaked.length === 0;
  return held ? 0 : 1;
}

function summary(path, partsPassed, partsFailed) {
  const { tests, broken } = readReport(path);
  const count = (status) => tests.filter((test) => test.status === status).length;
  const skipped = tests.filter((test) => test.status !== 'passed' && test.status !== 'failed');
  for (const group of new Set(skipped.map((test) => test.ancestorTitles.join(' > ')))) {
    const size = skipped.filter((test) => test.ancestorTitles.join(' > ') === group).length;
    console.log(`skipped: ${group || '(file)'} (${size})`);
  }
  for (const test of tests.filter((each) => each.status === 'failed')) console.log(failure(test));
  const failed = count('failed') + broken + partsFailed;
  console.log(`${count('passed') + partsPassed} passed, ${failed} failed, ${skipped.length} skipped`);
  return failed === 0 ? 0 : 1;
}

/** What failed and why, near the end: often the last lines are all that is kept of a run. */
function failure(test) {
  const reason = test.failureMessages.join('\n').split('\n').slice(0, 30).join('\n  ');
  return `failed: ${[...test.ancestorTitles, test.title].join(' > ')}\n  ${reason}`;
}

/** A file that could not be loaded has no tests in it: it counts as one failure, as does an error outside a test. */
function readReport(path) {
  try {
    const { success, testResults } = JSON.parse(readFileSync(path, 'utf8'));
    const hasFailed = (file) => file.assertionResults.some((test) => test.status === 'failed');
    const broken = testResults.filter((file) => file.status === 'failed' && !hasFailed(file)).length;
    const unexplained = !success && broken === 0 && !testResults.some(hasFailed) ? 1 : 0;
    return { tests: testResults.flatMap((file) => file.assertionResults), broken: broken + unexplained };
  } catch (error) {
    // The part that should have written it has failed already and is counted there.
    console.log(`no test report: ${error.message}`);
    return { tests: [], broken: 0 };
  }
}
