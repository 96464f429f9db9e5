import { BoundaryError } from './boundary-error.ts';
import { parsePublicKeyLine, verifySshSignature } from './sshsig.ts';

/*
 * What a release says that its executable is made of: a few lines of text, a blank line, and an SSH signature (PROTOCOL.sshsig)
 * over the lines, so that `ssh-keygen -Y verify` checks it too.
 *
 *     holdfast/manifest/v1
 *     version 0.1.0
 *     platform linux-x64
 *     sha256 HEX SIZE NAME
 *     …
 */

const HEAD = 'holdfast/manifest/v1';
/** SSHSIG namespace: a signature over checksums, or over anything else by the same key, is no signature over this. */
export const MANIFEST_NAMESPACE = 'holdfast-manifest';
export const MANIFEST_MAX_BYTES = 65_536;
/** The executable itself; everything else is named as it is embedded. */
export const MANIFEST_PROGRAM = 'holdfast';
const MAX_FILES = 64;
const FILE =
  /^sha256 ([0-9a-f]{64}) (0|[1-9]\d{0,11}) ([A-Za-z0-9][A-Za-z0-9._-]*(?:\/[A-Za-z0-9][A-Za-z0-9._-]*)*)$/;

/** Digest and length of one file. */
export interface ManifestFile {
  /** Hex SHA-256. */
  sha256: string;
  /** Bytes. */
  size: number;
}

/** What a release's executable is. */
export interface Manifest {
  version: string;
  /** `linux-x64` or `linux-arm64`. */
  platform: string;
  files: ReadonlyMap<string, ManifestFile>;
}

/** The lines that are signed. */
export function formatManifest({ version, platform, files }: Manifest): string {
  const lines = [...files].map(([name, { sha256, size }]) => `sha256 ${sha256} ${size} ${name}\n`);
  return `${HEAD}\nversion ${version}\nplatform ${platform}\n${lines.join('')}`;
}

/** The whole file: lines and signature. */
export function sealManifest(text: string, armor: string): string {
  return `${text}\n${armor}`;
}

/**
 * The manifest in a file that the release key (a line of a `.pub` file) signed. Throws `BoundaryError` `manifest.malformed`,
 * `manifest.unsigned`, and `sshkey.malformed` for the key.
 */
export function openManifest(file: string, releaseKey: string): Manifest {
  const end = file.length > MANIFEST_MAX_BYTES ? -1 : file.indexOf('\n\n');
  if (end < 0) throw malformed('has no signature behind its lines');
  const text = file.slice(0, end + 1);
  const { blob } = parsePublicKeyLine(releaseKey);
  const signed = verifySshSignature({
    armor: file.slice(end + 2),
    message: new TextEncoder().encode(text),
    namespace: MANIFEST_NAMESPACE,
    key: blob,
  });
  if (!signed.ok)
    throw new BoundaryError(
      'manifest.unsigned',
      `The manifest of this program is not signed by the key of its release (${signed.code}).`,
    );
  return parseManifestText(text);
}

/** Reads the lines, whoever signed them. Throws `BoundaryError` `manifest.malformed`. */
export function parseManifestText(text: string): Manifest {
  const [head, version, platform, ...rest] = text.split('\n');
  const last = rest.pop();
  if (head !== HEAD || last !== '') throw malformed(`is none of the form ${HEAD}`);
  if (rest.length === 0 || rest.length > MAX_FILES) throw malformed('names no files, or too many');
  const files = new Map<string, ManifestFile>();
  for (const line of rest) {
    const [, sha256, size, name] = FILE.exec(line) ?? [];
    if (sha256 === undefined || name === undefined) throw malformed('has a line that names no file');
    if (files.has(name)) throw malformed('names a file twice');
    files.set(name, { sha256, size: Number(size) });
  }
  return {
    version: fieldOf(version, /^version ([0-9A-Za-z.+-]{1,64})$/),
    platform: fieldOf(platform, /^platform ([a-z0-9-]{1,64})$/),
    files,
  };
}

function fieldOf(line: string | undefined, form: RegExp): string {
  const value = form.exec(line ?? '')?.[1];
  if (value === undefined) throw malformed('does not say which version it is for, and which platform');
  return value;
}

function malformed(what: string): BoundaryError {
  return new BoundaryError('manifest.malformed', `The manifest of this program ${what}.`);
}
