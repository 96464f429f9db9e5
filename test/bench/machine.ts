import {
  closeSync,
  fdatasyncSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { cpus, release, totalmem } from 'node:os';
import { join } from 'node:path';
import { median } from './statistics.ts';

/** What the figures were measured on; without it they mean nothing. */
export interface Machine {
  cpu: string;
  cores: number;
  memory_gib: number;
  kernel: string;
  node: string;
  /** Median of a 4 KiB append and fdatasync where the ledgers of this run lie. */
  fsync_ms: number;
  /** Filesystem of that directory. */
  filesystem: string;
}

/** Describes this machine; writes and removes a small file under `directory` to time the disk. */
export function describeMachine(directory: string): Machine {
  const processors = cpus();
  return {
    cpu: processors[0]?.model.trim() ?? 'unknown',
    cores: processors.length,
    memory_gib: Math.round(totalmem() / 2 ** 30),
    kernel: release(),
    node: process.version,
    fsync_ms: timeSync(directory),
    filesystem: filesystemOf(directory),
  };
}

function timeSync(directory: string): number {
  mkdirSync(directory, { recursive: true });
  const place = mkdtempSync(join(directory, 'fsync-'));
  const file = openSync(join(place, 'probe'), 'w', 0o600);
  const page = Buffer.alloc(4_096, 7);
  try {
    const times = Array.from({ length: 100 }, () => {
      const start = performance.now();
      writeSync(file, page);
      fdatasyncSync(file);
      return performance.now() - start;
    });
    return median(times);
  } finally {
    closeSync(file);
    rmSync(place, { recursive: true });
  }
}

/** Type of the longest mount point above the directory. */
function filesystemOf(directory: string): string {
  const mounts = readFileSync('/proc/self/mounts', 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => line.split(' '))
    .map(([, place = '', type = 'unknown']) => ({ place, type }))
    .filter(
      ({ place }) => directory === place || directory.startsWith(place.endsWith('/') ? place : `${place}/`),
    );
  return mounts.sort((a, b) => b.place.length - a.place.length)[0]?.type ?? 'unknown';
}
