/*
 * Whether the kernel holds its clock to be synchronized (adjtimex(2)): whatever disciplines it here (NTP, PTP, a GPS
 * receiver) tells the kernel, and the kernel forgets it when no news comes for long. Reading needs no privilege.
 */

/** `struct timex` is 208 bytes on 64-bit Linux. All zero means: change nothing, say how it is. */
const TIMEX_BYTES = 512;
/** What adjtimex returns while the clock is not synchronized. */
const TIME_ERROR = 5;

type Adjtimex = (timex: Buffer) => number;

let adjtimex: Adjtimex | null = null;
let asked = false;

/**
 * Null where the kernel cannot be asked (another system, a seccomp filter), and on the first call: the way to the kernel is
 * loaded when somebody wants to know, which only a policy that believes the kernel does. Never throws.
 */
export function kernelSynchronized(): boolean | null {
  if (!asked) {
    asked = true;
    void load().then((loaded) => {
      adjtimex = loaded;
    });
  }
  if (adjtimex === null) return null;
  const state = adjtimex(Buffer.alloc(TIMEX_BYTES));
  return state < 0 ? null : state !== TIME_ERROR;
}

/** The same for commands that can wait for the way to the kernel. */
export async function askKernelClock(): Promise<boolean | null> {
  const call = await load();
  if (call === null) return null;
  const state = call(Buffer.alloc(TIMEX_BYTES));
  return state < 0 ? null : state !== TIME_ERROR;
}

async function load(): Promise<Adjtimex | null> {
  if (process.platform !== 'linux') return null;
  try {
    const { default: koffi } = await import('koffi');
    const call = koffi.load(null).func('adjtimex', 'int', ['void *']);
    return (timex) => Number(call(timex));
  } catch {
    return null;
  }
}
