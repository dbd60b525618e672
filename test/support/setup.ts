/** Before every test file: the seed of its property tests. */
import { configureGlobal } from 'fast-check';
import { FIRST_SEED } from './seed.ts';

configureGlobal({ seed: FIRST_SEED });
