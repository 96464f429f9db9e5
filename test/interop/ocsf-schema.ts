import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/*
 * A validator over the published OCSF schema, read from its own repository (`OCSF_SCHEMA_DIR`): attributes, requirements,
 * types, enumerations and constraints of a class and of every object in it.
 */

interface Attribute {
  requirement?: string;
  type?: string;
  object_type?: string;
  is_array?: boolean;
  enum?: Record<string, unknown>;
}

interface Definition {
  name?: string;
  uid?: number;
  category?: string;
  extends?: string;
  attributes: Record<string, Attribute>;
  constraints?: { at_least_one?: string[]; just_one?: string[] };
}

type Value = null | boolean | number | string | Value[] | { [key: string]: Value };

export class OcsfSchema {
  readonly version: string;
  readonly #dir: string;
  readonly #dictionary: Record<string, Attribute>;
  readonly #types: Record<string, { type?: string }>;
  readonly #classes = new Map<number, Definition>();
  readonly #objects = new Map<string, Definition>();

  constructor(dir: string) {
    this.#dir = dir;
    this.version = this.#json('version.json').version as string;
    const dictionary = this.#json('dictionary.json');
    this.#dictionary = dictionary.attributes as Record<string, Attribute>;
    this.#types = (dictionary.types as { attributes: Record<string, { type?: string }> }).attributes;
    const categories = this.#json('categories.json').attributes as Record<string, { uid: number }>;
    const classes = this.#definitions('events');
    for (const one of classes.values()) {
      const whole = this.#inherited(one, classes);
      const category = whole.category === undefined ? undefined : categories[whole.category]?.uid;
      if (one.uid === undefined || category === undefined) continue;
      const uid = category * 1000 + one.uid;
      // What the schema's compiler fills in.
      const attributes = {
        ...whole.attributes,
        class_uid: { ...whole.attributes.class_uid, enum: { [uid]: {} } },
        category_uid: { ...whole.attributes.category_uid, enum: { [category]: {} } },
      };
      this.#classes.set(uid, { ...whole, attributes });
    }
    const objects = this.#definitions('objects');
    for (const [name, one] of objects) this.#objects.set(name, this.#inherited(one, objects));
  }

  /** What is wrong with an event, one sentence each; empty when it conforms. */
  defects(event: { [key: string]: Value }): string[] {
    const uid = event.class_uid;
    const found = typeof uid === 'number' ? this.#classes.get(uid) : undefined;
    if (found === undefined) return [`there is no class ${JSON.stringify(uid)}`];
    const defects = this.#check(event, found, '');
    const { type_uid, activity_id } = event;
    if (type_uid !== Number(uid) * 100 + Number(activity_id))
      defects.push('type_uid is not that of the activity');
    return defects;
  }

  #check(value: { [key: string]: Value }, { attributes, constraints }: Definition, at: string): string[] {
    const defects: string[] = [];
    for (const [key, own] of Object.entries(attributes)) {
      if (own.requirement === 'required' && value[key] === undefined) defects.push(`${at}/${key} is missing`);
    }
    for (const [key, member] of Object.entries(value)) {
      const own = attributes[key];
      if (own === undefined) defects.push(`${at}/${key} is no attribute`);
      else defects.push(...this.#checkMember(member, { ...this.#dictionary[key], ...own }, `${at}/${key}`));
    }
    const { at_least_one, just_one } = constraints ?? {};
    if (at_least_one !== undefined && !at_least_one.some((key) => value[key] !== undefined))
      defects.push(`${at} has none of ${at_least_one.join(', ')}`);
    if (just_one !== undefined && just_one.filter((key) => value[key] !== undefined).length !== 1)
      defects.push(`${at} should have one of ${just_one.join(', ')}`);
    return defects;
  }

  #checkMember(value: Value, attribute: Attribute, at: string): string[] {
    if (attribute.is_array === true) {
      if (!Array.isArray(value)) return [`${at} is not an array`];
      return value.flatMap((item, i) => this.#checkOne(item, attribute, `${at}/${i}`));
    }
    return this.#checkOne(value, attribute, at);
  }

  #checkOne(value: Value, attribute: Attribute, at: string): string[] {
    const { enum: allowed, type = 'string_t', object_type } = attribute;
    if (allowed !== undefined && !Object.hasOwn(allowed, String(value)))
      return [`${at} is ${value}, which is not listed`];
    const object = this.#objects.get(object_type ?? type);
    if (object !== undefined) {
      if (value === null || typeof value !== 'object' || Array.isArray(value))
        return [`${at} is not an object`];
      // `object` itself has no attributes: anything may be in it.
      return (object_type ?? type) === 'object' ? [] : this.#check(value, object, at);
    }
    return this.#isOfType(value, type) ? [] : [`${at} is not of type ${type}`];
  }

  #isOfType(value: Value, type: string): boolean {
    const base = this.#types[type]?.type ?? type;
    switch (base) {
      case 'boolean_t':
        return typeof value === 'boolean';
      case 'integer_t':
      case 'long_t':
      case 'timestamp_t':
        return Number.isSafeInteger(value);
      case 'float_t':
        return typeof value === 'number';
      case 'json_t':
        return true;
      default:
        return typeof value === 'string';
    }
  }

  #inherited(own: Definition, all: ReadonlyMap<string, Definition>): Definition {
    const parent = own.extends === undefined ? undefined : all.get(own.extends);
    if (parent === undefined) return own;
    const above = this.#inherited(parent, all);
    const attributes = { ...above.attributes };
    for (const [key, attribute] of Object.entries(own.attributes)) {
      const before = attributes[key];
      // An enumeration adds to the one that it inherits.
      const listed = { ...before?.enum, ...attribute.enum };
      attributes[key] = {
        ...before,
        ...attribute,
        ...(Object.keys(listed).length === 0 ? {} : { enum: listed }),
      };
    }
    const category = own.category ?? above.category;
    const constraints = own.constraints ?? above.constraints;
    return {
      ...own,
      attributes,
      ...(category === undefined ? {} : { category }),
      ...(constraints === undefined ? {} : { constraints }),
    };
  }

  #definitions(folder: string): Map<string, Definition> {
    const found = new Map<string, Definition>();
    for (const file of readdirSync(join(this.#dir, folder), { recursive: true, encoding: 'utf8' })) {
      if (!file.endsWith('.json')) continue;
      const { attributes = {}, ...rest } = this.#json(join(folder, file));
      const one = {
        ...rest,
        attributes: this.#included(attributes as Record<string, unknown>),
      } as Definition;
      for (const [key, attribute] of Object.entries(one.attributes)) {
        const listed = { ...this.#dictionary[key]?.enum, ...attribute.enum };
        one.attributes[key] = { ...attribute, ...(Object.keys(listed).length === 0 ? {} : { enum: listed }) };
      }
      found.set(one.name ?? file, one);
    }
    return found;
  }

  /** `$include` names profiles, whose attributes belong to the class as well. */
  #included({ $include, ...own }: Record<string, unknown>): Record<string, Attribute> {
    const profiles = ($include as string[] | undefined) ?? [];
    const attributes: Record<string, Attribute> = {};
    for (const path of profiles) {
      const profile = this.#json(path).attributes as Record<string, Attribute>;
      for (const [key, attribute] of Object.entries(profile))
        attributes[key] = { ...attribute, requirement: 'optional' };
    }
    return { ...attributes, ...(own as Record<string, Attribute>) };
  }

  #json(path: string): Record<string, unknown> {
    return JSON.parse(readFileSync(join(this.#dir, path), 'utf8'));
  }
}

/** The schema's repository, where the machine has it; else null. */
export function ocsfSchemaDir(): string | null {
  const dir = process.env.OCSF_SCHEMA_DIR;
  return dir !== undefined && existsSync(join(dir, 'dictionary.json')) ? dir : null;
}
