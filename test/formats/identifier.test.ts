import { expect, it } from 'vitest';
import { isIdentifier } from '../../daemon/formats/identifier.ts';

const UUID = '01990000-0000-7000-8000-00000000000a';

it('an id is its prefix and a UUIDv7 in lower case, nothing around it', () => {
  expect(isIdentifier(`dec_${UUID}`, 'dec')).toBe(true);
  for (const text of [
    `inc_${UUID}`,
    UUID,
    `_${UUID}`,
    `xdec_${UUID}`,
    `dec_${UUID}\n`,
    ` dec_${UUID}`,
    `dec_${UUID.toUpperCase()}`,
    `dec_${UUID.replace('-7', '-4')}`,
    `dec_${UUID.replace('-8', '-7')}`,
    `dec_${UUID}0`,
    '',
  ])
    expect(isIdentifier(text, 'dec'), JSON.stringify(text)).toBe(false);
});
