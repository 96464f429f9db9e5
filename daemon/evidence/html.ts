/** Text that is HTML already: made by `html` alone. */
export class Safe {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

/** What may stand in a template: everything but `Safe` is taken for text from anywhere, and escaped. */
export type Content = Safe | string | number | null | readonly Content[];

/**
 * A template whose every interpolation is escaped, wherever it stands: text of elements, and attributes in double quotes.
 * Lists are joined, null is nothing.
 */
export function html(strings: TemplateStringsArray, ...contents: readonly Content[]): Safe {
  return new Safe(strings.map((text, at) => text + rendered(contents[at] ?? null)).join(''));
}

function rendered(content: Content): string {
  if (content === null) return '';
  if (content instanceof Safe) return content.text;
  // What comes out of JSON need not be what its type says.
  return Array.isArray(content) ? content.map(rendered).join('') : escaped(String(content));
}

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
  '`': '&#96;',
};

/**
 * Text as a page shows it. Characters that reorder or hide what people read become visible escapes: what somebody else wrote
 * must not be able to make a page say something else.
 */
export function escaped(text: string): string {
  return text
    .replace(/[&<>"'`]/g, (char) => ENTITIES[char] ?? char)
    .replace(
      /(?!\n)[\p{Cc}\p{Cf}\p{Co}\p{Cs}\p{Zl}\p{Zp}]/gu,
      (char) => `\\u{${(char.codePointAt(0) ?? 0).toString(16)}}`,
    );
}
