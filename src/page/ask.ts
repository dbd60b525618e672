/** Asks the daemon, which may be gone, go while it answers, or refuse. */

/** There is no answer: `message` says why, by the daemon's own words where it gave some. */
export class Unanswered extends Error {}

/** @throws Unanswered */
export async function ask<T>(path: string): Promise<T> {
  const { ok, status, told } = await answerOf(path);
  if (ok) return told as T;
  throw new Unanswered(messageOf(told) ?? `the daemon answers ${status}`);
}

async function answerOf(path: string): Promise<{ ok: boolean; status: number; told: unknown }> {
  try {
    const answer = await fetchAgain(path);
    return { ok: answer.ok, status: answer.status, told: await answer.json() };
  } catch (error) {
    throw new Unanswered('the daemon does not answer', { cause: error });
  }
}

/** A browser also gives up what it waits for when an address of its host changes: then the second question is answered. */
async function fetchAgain(path: string): Promise<Response> {
  try {
    return await fetch(path);
  } catch {
    return fetch(path);
  }
}

function messageOf(told: unknown): string | undefined {
  if (typeof told !== 'object' || told === null || !('error' in told)) return undefined;
  const { error } = told;
  if (typeof error !== 'object' || error === null || !('message' in error)) return undefined;
  return typeof error.message === 'string' ? error.message : undefined;
}
