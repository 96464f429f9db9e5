/** Everything that is told page by page, in order. `read` gets what the next page comes after: undefined for the first. */
export async function everyPage<T>(
  read: (after: { after?: string }) => Promise<{ items: readonly T[]; next: string | null | undefined }>,
): Promise<T[]> {
  const found: T[] = [];
  let after: string | undefined;
  do {
    const { items, next } = await read(after === undefined ? {} : { after });
    found.push(...items);
    after = next ?? undefined;
  } while (after !== undefined);
  return found;
}
