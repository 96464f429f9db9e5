import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { bundleSchemaText } from '../../daemon/commands/policy.ts';
import { readPolicyDirectory } from '../../daemon/policy/source.ts';
import { runTableTests } from '../../daemon/policy/table-test.ts';
import { FIELD_SITE } from '../policy/policy-dir.ts';

const { bundle, compiled } = readPolicyDirectory(FIELD_SITE);
const results = runTableTests(FIELD_SITE, compiled);

describe('the starter policy', () => {
  it.each(results.map((result) => [result.name, result] as const))('%s', (_, { differences }) => {
    expect(differences).toEqual([]);
  });

  it('has a case for every action class and every gate of its own', () => {
    const text = ['everyday', 'refused']
      .map((name) => readFileSync(`${FIELD_SITE}/tests/${name}.yaml`, 'utf8'))
      .join('\n');
    for (const name of Object.keys(bundle.actions)) expect(text).toContain(`class: ${name}`);
    const untested = bundle.gates.map(({ id }) => id).filter((id) => !text.includes(id));
    // No principal of this policy is an ownerless agent or a person who calls an agent's tool.
    expect(untested).toEqual(['firmware-by-people-or-owned-agents', 'agent-tools-for-agents']);
  });

  it('gives authority at every band in every environment to every class', () => {
    for (const environment of Object.keys(bundle.environments)) {
      for (const { band } of bundle.risk.bands) {
        const routes = bundle.authority.routes.filter(
          (route) =>
            (route.bands?.includes(band) ?? true) &&
            route.classes === undefined &&
            (route.environments?.includes(environment) ?? true),
        );
        expect(routes.length).toBeGreaterThan(0);
      }
    }
  });

  it('asks only for roles that enough different people hold', () => {
    const people = Object.values(bundle.principals).filter(
      ({ kind, status }) => kind === 'human' && status === 'active',
    );
    for (const { require } of bundle.authority.routes) {
      for (const { roles, min_signatures } of require) {
        const holders = people.filter((person) => person.roles.some((role) => roles.includes(role)));
        expect(holders.length).toBeGreaterThanOrEqual(min_signatures);
      }
    }
  });

  it('names programs that Debian has where this machine has them', () => {
    for (const tool of Object.values(bundle.tools)) {
      if (tool.connector !== 'exec') continue;
      expect(tool.argv[0]).toMatch(/^\/usr\/s?bin\/[a-z]+$/);
    }
    expect(existsSync('/usr/bin/tail')).toBe(true);
  });
});

describe('the JSON Schema of bundles', () => {
  it('is what policies/schema holds; write it again with "holdfast policy schema"', () => {
    const file = fileURLToPath(new URL('../../policies/schema/bundle.schema.json', import.meta.url));
    expect(JSON.parse(readFileSync(file, 'utf8'))).toEqual(JSON.parse(bundleSchemaText()));
  });
});
