/** One test of a suite, in its own words. */
export interface Case {
  name: string;
  status: 'passed' | 'failed' | 'skipped';
  /** Why it failed or was skipped. */
  message: string;
}

export interface Report {
  cases: Case[];
  /** What the suite itself counts, which may be more than its cases: one case can check several things. */
  total: { tests: number; failures: number; errors: number };
}

/**
 * Reads a JUnit report of one of the suites. Both are written by Go's encoder, which escapes every `<`, `>` and `&`
 * outside of tags, so elements can be found by their tags alone.
 *
 * @throws Error when it is no such report
 */
export function parseJunit(xml: string): Report {
  const [, suites] = /<testsuites([^>]*)>/.exec(xml) ?? [];
  if (suites === undefined) throw new Error('not a JUnit report');
  const cases = [...xml.matchAll(/<testcase([^>]*)>(.*?)<\/testcase>/gs)].map(([, head = '', body = '']): Case => {
    const status = attribute(head, 'status');
    return {
      name: attribute(head, 'name'),
      status: status === 'passed' || status === 'skipped' ? status : 'failed',
      message: messageOf(body) || (status === 'passed' ? '' : status),
    };
  });
  const count = (name: string) => Number(attribute(suites, name) || 0);
  return { cases, total: { tests: count('tests'), failures: count('failures'), errors: count('errors') } };
}

/** The newer suite puts its errors into `system-out`, the older one into `failure`, and skips into a message. */
function messageOf(body: string): string {
  const text =
    /<(?:failure|error)[^>]*>(.*?)<\/(?:failure|error)>/s.exec(body) ?? /<system-out>(.*?)<\/system-out>/s.exec(body);
  if (text !== null) return decode(text[1] ?? '').trim();
  const [, skipped = ''] = /<skipped([^>]*)>/.exec(body) ?? [];
  return attribute(skipped, 'message');
}

function attribute(head: string, name: string): string {
  return decode(new RegExp(`(?:^|\\s)${name}="([^"]*)"`).exec(head)?.[1] ?? '');
}

const entities: Readonly<Record<string, string>> = { lt: '<', gt: '>', amp: '&', quot: '"', apos: "'" };

function decode(text: string): string {
  return text.replaceAll(/&(?:#x([0-9A-Fa-f]+)|#(\d+)|(\w+));/g, (whole, hex, decimal, name) => {
    if (name !== undefined) return entities[name] ?? whole;
    return String.fromCodePoint(hex === undefined ? Number(decimal) : Number.parseInt(hex, 16));
  });
}
