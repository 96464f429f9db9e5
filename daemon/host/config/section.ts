import { BoundaryError } from '../../formats/boundary-error.ts';
import type { Json, JsonObject } from '../../formats/json.ts';
import { nearest } from '../../formats/spelling.ts';

/** One object of the file: reads checked members, and words every complaint alike. */
export class Section {
  readonly #members: JsonObject;
  readonly #path: string;
  readonly #pointer: string;

  constructor(value: Json, path: string, pointer: string) {
    this.#path = path;
    this.#pointer = pointer;
    if (value === null || typeof value !== 'object' || Array.isArray(value))
      throw this.#complain('config.wrong_type', pointer, 'is not a JSON object.');
    this.#members = value;
  }

  value(key: string): Json | undefined {
    return Object.hasOwn(this.#members, key) ? this.#members[key] : undefined;
  }

  only(known: readonly string[]): void {
    for (const key of Object.keys(this.#members)) {
      if (known.includes(key)) continue;
      const near = nearest(key, known);
      throw this.#complain(
        'config.unknown_key',
        `${this.#pointer}/${key.slice(0, 64)}`,
        near === null
          ? `is not a setting; known here: ${known.join(', ')}.`
          : `is not a setting; did you mean "${near}"?`,
      );
    }
  }

  section(key: string, known: readonly string[]): Section {
    const section = new Section(this.value(key) ?? {}, this.#path, `${this.#pointer}/${key}`);
    section.only(known);
    return section;
  }

  /** `fallback` null means required. */
  text(key: string, fallback: string | null, shape: RegExp, wanted: string): string {
    const value = this.value(key) ?? fallback;
    if (typeof value !== 'string' || value.length > 1_000 || !shape.test(value))
      throw this.wrong(key, wanted);
    return value;
  }

  optionalText(key: string, shape: RegExp, wanted: string): string | null {
    return (this.value(key) ?? null) === null ? null : this.text(key, null, shape, wanted);
  }

  /** One to `max` different texts, each of that shape. */
  texts(key: string, shape: RegExp, max: number, wanted: string): readonly string[] {
    const value = this.value(key);
    if (!Array.isArray(value) || value.length < 1 || value.length > max) throw this.wrong(key, wanted);
    const texts = value.filter((item) => typeof item === 'string' && item.length <= 255 && shape.test(item));
    if (new Set(texts).size !== value.length) throw this.wrong(key, wanted);
    return texts as string[];
  }

  /** A list of at most `max` objects, each with members out of `known`; empty when it is absent. */
  list(key: string, known: readonly string[], max: number, wanted: string): Section[] {
    const value = this.value(key) ?? [];
    if (!Array.isArray(value) || value.length > max) throw this.wrong(key, wanted);
    return value.map((item, index) => {
      const section = new Section(item, this.#path, `${this.#pointer}/${key}/${index}`);
      section.only(known);
      return section;
    });
  }

  choice<T extends string>(key: string, choices: readonly T[], fallback: T | null): T {
    const value = this.value(key) ?? fallback;
    const found = choices.find((choice) => choice === value);
    if (found === undefined) throw this.wrong(key, `one of ${choices.join(', ')}`);
    return found;
  }

  count(key: string, fallback: number, max: number): number {
    const value = this.value(key) ?? fallback;
    if (typeof value !== 'number' || !Number.isInteger(value) || value < 1 || value > max)
      throw this.wrong(key, `a whole number from 1 to ${max}`);
    return value;
  }

  wrong(key: string, wanted: string): BoundaryError {
    const found = this.value(key) === undefined ? 'is missing' : 'is not valid';
    return this.#complain('config.wrong_value', `${this.#pointer}/${key}`, `${found}; write ${wanted}.`);
  }

  #complain(code: string, pointer: string, what: string): BoundaryError {
    return new BoundaryError(
      code,
      `${this.#path}: ${pointer === '' ? 'the file' : pointer} ${what} Nothing was started.`,
      { at: pointer },
    );
  }
}
