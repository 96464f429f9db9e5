import { BoundaryError } from '../formats/boundary-error.ts';
import { type IdPrefix, isIdentifier } from '../formats/identifier.ts';

/*
 * Ids as arguments of a command. Each throws BoundaryError when the text is no such id; whether there is one by that id is
 * not known here.
 */

/** `decision.malformed_id`. */
export const parseDecisionId = idParser('dec', 'a decision', 'decision.malformed_id', 'decision list');
/** `incident.malformed_id`. */
export const parseIncidentId = idParser('inc', 'an incident', 'incident.malformed_id', 'incident list');
/** `breakglass.malformed_id`. */
export const parseSessionId = idParser('bg', 'a session', 'breakglass.malformed_id', 'breakglass list');
/** `grant.malformed_id`. */
export const parseGrantId = idParser('grant', 'a grant', 'grant.malformed_id', 'breakglass grants');

/** `listing` is the command that shows the ids there are. */
function idParser(prefix: IdPrefix, what: string, code: string, listing: string): (text: string) => string {
  return (text) => {
    if (isIdentifier(text, prefix)) return text;
    throw new BoundaryError(
      code,
      `${JSON.stringify(text.slice(0, 80))} is not the id of ${what} (${prefix}_ and a UUID); nothing was done. See: holdfast ${listing}`,
    );
  };
}
