/** A value of RFC 8259 JSON. Numbers are IEEE doubles; RFC 8785 (I-JSON) limits apply wherever bytes are hashed. */
export type Json = null | boolean | number | string | Json[] | JsonObject;

/** A JSON object. A key that is absent is `undefined`, never coerced. */
export interface JsonObject {
  [key: string]: Json;
}
