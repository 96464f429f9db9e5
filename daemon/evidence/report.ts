import type { Verification } from './verify.ts';

/** The page. */
export function renderReport(_verification: Verification, _beside: { trust: string | null }): string {
  return '<!doctype html>';
}
