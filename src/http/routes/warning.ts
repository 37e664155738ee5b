/**
 * Says that an answer may be out of date (RFC 7234, 5.5.1). RFC 9111 has done away with it, but people who look for the
 * reason find it here.
 */
export function warningHeader(warning: string | undefined): { Warning?: string } {
  return warning === undefined ? {} : { Warning: `110 berth "${warning}"` };
}
