import {
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  type Pair,
  parseDocument,
  type Scalar,
  type YAMLMap,
  type YAMLSeq,
} from 'yaml';
import { pointerToken } from '../core/bundle-defects.ts';
import type { Json, JsonObject } from '../formats/json.ts';

/** Deeper than any section of a bundle. */
const DEPTH_MAX = 16;

/** One thing in a YAML file that is no plain, unambiguous value. */
export interface YamlDefect {
  line: number;
  found: string;
  write_instead: string;
}

/** A YAML document as JSON, with the line on which each value stands. */
export interface YamlValue {
  /** Null when the text has defects. */
  value: Json;
  /** JSON pointer → line, from 1. Members of a map: the line of their key. */
  lines: Map<string, number>;
  defects: YamlDefect[];
}

/**
 * Reads one YAML 1.2 document of plain values. What a reader could take for something else is a defect: warnings of the
 * parser, duplicate keys, anchors and aliases, tags, keys that are not text, numbers that JSON would write otherwise.
 */
export function readYaml(text: string): YamlValue {
  const counter = new LineCounter();
  const document = parseDocument(text, {
    lineCounter: counter,
    strict: true,
    uniqueKeys: true,
    stringKeys: true,
    merge: false,
    prettyErrors: false,
  });
  const lineOf = (offset: number | undefined) => counter.linePos(offset ?? 0).line;
  const defects = [...document.errors, ...document.warnings].map((problem) => ({
    line: lineOf(problem.pos[0]),
    found: problem.message.split('\n')[0] ?? 'unreadable YAML',
    write_instead: 'write plain YAML: maps, lists, text, numbers, true, false',
  }));
  const reader = new Reader(lineOf);
  const value = defects.length > 0 ? null : reader.read(document.contents, '', 0);
  return { value, lines: reader.lines, defects: [...defects, ...reader.defects] };
}

class Reader {
  readonly lines = new Map<string, number>();
  readonly defects: YamlDefect[] = [];
  readonly #lineOf: (offset: number | undefined) => number;

  constructor(lineOf: (offset: number | undefined) => number) {
    this.#lineOf = lineOf;
  }

  read(node: Node | null, pointer: string, depth: number): Json {
    if (node === null) return null;
    const line = this.#lineOf(node.range?.[0]);
    if (!this.lines.has(pointer)) this.lines.set(pointer, line);
    if (depth > DEPTH_MAX)
      return this.#refuse(line, 'deeper nesting than any section has', 'write it flatter');
    if (isAlias(node)) return this.#refuse(line, 'an alias', 'write the value out where it is used');
    if ('anchor' in node && node.anchor !== undefined) this.#refuse(line, 'an anchor', 'remove it');
    if (node.tag !== undefined && !isPlainTag(node.tag))
      this.#refuse(line, `the tag ${node.tag}`, 'remove it');
    if (isMap(node)) return this.#map(node, pointer, depth);
    if (isSeq(node)) return this.#list(node, pointer, depth);
    return isScalar(node) ? this.#scalar(node, line) : null;
  }

  #map(node: YAMLMap, pointer: string, depth: number): JsonObject {
    const object: JsonObject = {};
    for (const { key, value } of node.items as Pair<Scalar, Node | null>[]) {
      const line = this.#lineOf(key.range?.[0]);
      if (!isScalar(key) || typeof key.value !== 'string' || key.value === '__proto__') {
        this.#refuse(line, 'a key that is not plain text', 'quote it');
        continue;
      }
      const at = `${pointer}/${pointerToken(key.value)}`;
      this.lines.set(at, line);
      object[key.value] = this.read(value, at, depth + 1);
    }
    return object;
  }

  #list(node: YAMLSeq, pointer: string, depth: number): Json[] {
    return (node.items as (Node | null)[]).map((item, index) =>
      this.read(item, `${pointer}/${index}`, depth + 1),
    );
  }

  #scalar({ value, source }: Scalar, line: number): Json {
    if (typeof value === 'string' || typeof value === 'boolean' || value === null) return value;
    if (typeof value !== 'number') return this.#refuse(line, 'a value that JSON does not have', 'quote it');
    if (!Number.isFinite(value) || (Number.isInteger(value) && !Number.isSafeInteger(value))) {
      return this.#refuse(line, `the number ${source}`, 'write a smaller number, or quote it');
    }
    // YAML 1.2 reads 0777 as 777, and people mean something else by it.
    if (source !== undefined && /^[-+]?0[0-9]/.test(source)) {
      return this.#refuse(
        line,
        `the number ${source}`,
        `write ${value} if it is a number, "${source}" if it is text`,
      );
    }
    return value === 0 ? 0 : value;
  }

  #refuse(line: number, found: string, write_instead: string): null {
    this.defects.push({ line, found, write_instead });
    return null;
  }
}

function isPlainTag(tag: string): boolean {
  return /^tag:yaml\.org,2002:(?:map|seq|str|int|float|bool|null)$/.test(tag);
}
