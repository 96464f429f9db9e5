import { constants, setPriority } from 'node:os';

/*
 * How the calling thread stands among the others on this machine. On Linux a thread has a rank of its own; who may not ask
 * for another one (a unit's filter of system calls says no) keeps the one that everybody has.
 */

/** sched(7). The same number on every Linux. */
const SCHED_IDLE = 5;
/** For the calling thread. */
const THIS = 0;
/** `struct sched_param`: a priority that only real-time policies have. */
const NO_PRIORITY = new Uint8Array(4);

/** The others come first: a thread that lets whoever wants to act wait for it does so a little less. Never throws. */
export function stepBack(): void {
  try {
    setPriority(THIS, constants.priority.PRIORITY_BELOW_NORMAL);
  } catch {
    // Only others are served a little later then.
  }
}

/**
 * Runs only while nobody else wants to: whoever wakes up takes over at once, where a thread that has only stepped back
 * finishes its slice of some milliseconds first. A busy machine may leave it next to nothing, for as long as it is busy; and
 * there is no way back for it. Never throws.
 */
export async function stepAside(): Promise<void> {
  stepBack();
  if (process.platform !== 'linux') return;
  try {
    const { default: koffi } = await import('koffi');
    koffi.load(null).func('sched_setscheduler', 'int', ['int', 'int', 'const void *'])(
      THIS,
      SCHED_IDLE,
      NO_PRIORITY,
    );
  } catch {
    // Then it has stepped back at least, if it may.
  }
}
