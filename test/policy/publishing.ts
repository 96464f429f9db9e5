import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { SITE, type World } from '../world.ts';

/** How a site's publisher changes its policy before it publishes: YAML text by section. */
export type PolicyEdits = Readonly<Record<string, (text: string) => string>>;

/** Publishes the site's policy under the next version, after editing it, as headquarters would; returns the medium. */
export async function publish(
  world: World,
  version: number,
  options: { environment?: string; edits?: PolicyEdits } = {},
): Promise<string> {
  const { publisher } = world.paths;
  const policy = join(publisher, 'policy');
  const number = (text: string) => text.replace(/^version: \d+$/m, `version: ${version}`);
  for (const [section, edit] of Object.entries({ metadata: number, ...options.edits })) {
    const file = join(policy, `${section}.yaml`);
    const before = readFileSync(file, 'utf8');
    const after = edit(before);
    if (after === before) throw new Error(`the edit of ${section}.yaml changes nothing`);
    writeFileSync(file, after);
  }
  const environment = options.environment === undefined ? [] : ['--env', options.environment];
  const ran = await world.holdfast('repo', 'publish', publisher, policy, '--site', SITE, ...environment);
  if (ran.code !== 0) throw new Error(`repo publish: ${ran.stderr}`);
  const medium = join(world.root, `medium-${version}`);
  cpSync(join(publisher, 'repository'), medium, { recursive: true });
  return medium;
}
