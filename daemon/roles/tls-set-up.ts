import { existsSync } from 'node:fs';
import { BoundaryError } from '../formats/boundary-error.ts';
import type { SitePaths } from '../host/site.ts';
import { authorityFile, identityFile, type SiteRole } from '../identity/files.ts';

/** Throws BoundaryError `tls.not_set_up` when a part of the site has no certificate to show. */
export function assertTlsSetUp(paths: SitePaths, role: SiteRole): void {
  const missing = [authorityFile(paths), identityFile(paths, role)].find((path) => !existsSync(path));
  if (missing === undefined) return;
  throw new BoundaryError(
    'tls.not_set_up',
    `The sockets of this site speak TLS, and ${missing} is not there; nothing was started. Make the site's certificates: holdfast keys tls setup`,
    { at: missing },
  );
}
