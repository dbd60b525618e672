/**
 * Where random tests begin. In CI always at the same seed, so that a failure there is the change's doing and repeats;
 * elsewhere at another one each time, so that they go on finding things. A failure names its seed.
 */
export const FIRST_SEED = process.env.CI ? 20_260_101 : Math.floor(Math.random() * 2 ** 31);
