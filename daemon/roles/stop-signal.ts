/**
 * The first of SIGTERM and SIGINT from now on, by name. It is waited for from the moment in which a role has something to
 * close, not from when it is ready: a signal in between would end the process as a crash does. A second signal ends it
 * at once.
 */
export function stopSignal(): Promise<string> {
  return new Promise((resolve) => {
    process.once('SIGTERM', () => resolve('SIGTERM'));
    process.once('SIGINT', () => resolve('SIGINT'));
  });
}
