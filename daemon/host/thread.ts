import { getCompileCacheDir } from 'node:module';
import { dirname } from 'node:path';
import { Worker, type WorkerOptions } from 'node:worker_threads';
import { embedding } from './embedded.ts';

/**
 * Starts a thread that runs one of our modules, named by its URL as seen from the caller's. In an executable
 * that module is part of the program itself, and the thread is started with its name.
 */
export function startThread(module: URL, options: WorkerOptions): Worker {
  const inside = embedding();
  if (inside === null) return new Worker(module, withCompileCache(options));
  return new Worker(inside.threadCode, {
    ...options,
    eval: true,
    argv: [module.pathname.replace(/^\//, '')],
  });
}

/** Threads look for the process's compile cache in the environment only; without it each strips all types anew: 10 MB and more. */
function withCompileCache(options: WorkerOptions): WorkerOptions {
  const cache = getCompileCacheDir();
  if (cache === undefined) return options;
  return { env: { ...process.env, NODE_COMPILE_CACHE: dirname(cache) }, ...options };
}
