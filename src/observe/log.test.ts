import { describe, expect, test } from 'vitest';
import { createMemoryDestination } from './log/testing.ts';
import { createLog, type LogOptions } from './log.ts';

const iso = /\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z/;

function setUp(options: Partial<LogOptions> = {}) {
  const destination = createMemoryDestination();
  const log = createLog({ level: 'info', formatter: 'text', accessLog: true, destination, ...options });
  return { log, destination, parsed: () => JSON.parse(destination.last()) };
}

const entry = {
  time: new Date(),
  remote: '192.0.2.7',
  method: 'GET',
  target: '/v2/',
  protocol: 'HTTP/1.1',
  status: 200,
  bytes: 2,
  duration: 1.23456,
};

describe.each(['text', 'json', 'logstash'] as const)('the log as %s', (formatter) => {
  test('leaves out what is less severe than the level', () => {
    const { log, destination } = setUp({ formatter, level: 'warn' });
    log.debug('a');
    log.info('b');
    expect(destination.text()).toBe('');
    log.warn('c');
    log.error('d');
    expect(destination.lines()).toHaveLength(2);
  });

  test('writes the access log whatever the level, or not at all', () => {
    const silent = setUp({ formatter, accessLog: false });
    silent.log.access(entry);
    expect(silent.destination.text()).toBe('');
    const { log, destination } = setUp({ formatter, level: 'error' });
    log.access(entry);
    expect(destination.lines()).toHaveLength(1);
  });

  test('keeps every entry on its line, whatever comes from outside', () => {
    const evil = 'x\n2026-01-01T00:00:00.000Z ERROR forged\r\n\u001b[2Ja\u2028b\u0000';
    const { log, destination } = setUp({ formatter });
    log.info(evil, { [evil]: evil, list: [evil], deep: { [evil]: evil }, error: new Error(evil) });
    log.child({ peer: evil }).error('failed', { error: new Error(evil, { cause: evil }) });
    log.access({ ...entry, method: evil, target: evil, user: evil, referer: evil, userAgent: evil });
    expect(destination.lines()).toHaveLength(3);
    for (const character of ['\0', '\r', '\u001b']) expect(destination.text()).not.toContain(character);
  });

  test('shows no secrets', () => {
    const { log, destination } = setUp({ formatter, fields: { 'X-Api-Key': 'hidden-1' } });
    log.info('asked', {
      Authorization: 'Basic hidden-2',
      headers: { authorization: ['Bearer hidden-3'], cookie: 'hidden-4', accept: 'shown-1' },
      secretKey: 'hidden-5',
      refresh_token: 'hidden-6',
      url: 'https://user:hidden-7@example.test/v2/?access_token=hidden-8&n=shown-2',
      note: 'sent Authorization: Basic aGlkZGVuLTkxMjM0NTY= to it',
      error: new Error('GET https://s3.test/x?X-Amz-Signature=hidden-10&X-Amz-Date=shown-3 failed'),
    });
    log.child({ password: 'hidden-11' }).info('child');
    log.access({
      ...entry,
      target: '/v2/token?password=hidden-12&scope=shown-4',
      referer: 'http://h/?token=hidden-13',
    });
    expect(destination.text()).not.toMatch(/hidden|aGlk/);
    for (const shown of ['shown-1', 'shown-2', 'shown-3', 'shown-4']) expect(destination.text()).toContain(shown);
  });

  test('shows values that hide themselves as they want to be shown', () => {
    const { log, destination } = setUp({ formatter });
    log.info('configured', { storage: { bucket: 'b', key: { toJSON: () => 'concealed', value: 'hidden' } } });
    expect(destination.text()).toContain('concealed');
    expect(destination.text()).not.toContain('hidden');
  });

  test('takes values of every kind', () => {
    const { log, destination } = setUp({ formatter });
    const circle: Record<string, unknown> = { name: 'circle' };
    circle.self = circle;
    log.info('kinds', {
      none: undefined,
      nothing: null,
      big: 12n,
      when: new Date(0),
      bytes: Buffer.from('abc'),
      circle,
      fn: () => 1,
      sym: Symbol('s'),
      url: new URL('http://example.test/a'),
    });
    const line = destination.last();
    for (const part of ['12', '1970-01-01T00:00:00.000Z', '3 bytes', 'circle', 'http://example.test/a']) {
      expect(line).toContain(part);
    }
    expect(line).not.toContain('none');
  });
});

describe('the log for people', () => {
  test('has time, level, message, and fields', () => {
    const { log, destination } = setUp({ fields: { service: 'registry' } });
    log.info('listening', { address: '[::]:5000', note: 'all of them', open: true });
    expect(destination.last()).toMatch(
      new RegExp(
        `^${iso.source} INFO  listening address="\\[::\\]:5000" note="all of them" open=true service=registry$`,
      ),
    );
    log.child({ request_id: 'a1' }).warn('slow');
    expect(destination.last()).toMatch(/WARN {2}slow request_id=a1 service=registry$/);
  });

  test('names the causes of an error, and its place when it is severe', () => {
    const { log, destination } = setUp();
    const cause = Object.assign(new Error('no space'), { code: 'ENOSPC' });
    const error = new Error('cannot store', { cause });
    log.warn('retrying', { error });
    expect(destination.last()).toMatch(/retrying error="cannot store: no space \(ENOSPC\)"$/);
    log.error('failed', { error });
    expect(destination.last()).toMatch(/error="cannot store: no space \(ENOSPC\)" error.stack=" +at .*\\x0a/);
  });

  test('has the access log in the combined format of distribution', () => {
    const { log, destination } = setUp({ fields: { service: 'registry' } });
    log.access({ ...entry, user: 'alice', referer: 'http://ui/', userAgent: 'docker/28 go/"1.24"', requestId: 'x' });
    expect(destination.last()).toMatch(
      /^192\.0\.2\.7 - alice \[\d\d\/[A-Z][a-z]{2}\/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\] "GET \/v2\/ HTTP\/1\.1" 200 2 "http:\/\/ui\/" "docker\/28 go\/\\"1\.24\\""$/,
    );
    log.access(entry);
    expect(destination.last()).toMatch(/^192\.0\.2\.7 - - \[.*"GET \/v2\/ HTTP\/1\.1" 200 2 "" ""$/);
  });
});

describe('the log for machines', () => {
  test('has the names and levels of distribution', () => {
    const { log, parsed } = setUp({ formatter: 'json', level: 'debug', fields: { service: 'registry' } });
    log.warn('slow', { took: 5 });
    expect(parsed()).toEqual({
      level: 'warning',
      time: expect.stringMatching(iso),
      service: 'registry',
      took: 5,
      msg: 'slow',
    });
    for (const level of ['debug', 'info', 'error'] as const) {
      log[level]('x');
      expect(parsed().level).toBe(level);
    }
  });

  test("has Logstash's names", () => {
    const { log, parsed } = setUp({ formatter: 'logstash', fields: { '@version': '9' } });
    log.child({ a: 1 }).info('hello', { b: 2 });
    expect(parsed()).toEqual({
      level: 'info',
      '@timestamp': expect.stringMatching(iso),
      '@version': '1',
      'fields.@version': '9',
      a: 1,
      b: 2,
      message: 'hello',
    });
  });

  test('does not let fields take the place of its own', () => {
    const { log, parsed, destination } = setUp({ formatter: 'json' });
    log.info('true', { msg: 'false', level: 'error', time: 'never' });
    expect(parsed()).toMatchObject({ msg: 'true', level: 'info', 'fields.msg': 'false', 'fields.level': 'error' });
    expect(destination.last().match(/"(msg|level|time)"/g)).toHaveLength(3);
  });

  test('has errors with code, place and causes', () => {
    const { log, parsed } = setUp({ formatter: 'json' });
    const cause = Object.assign(new TypeError('no space'), { code: 'ENOSPC', headers: { authorization: 'x' } });
    log.error('failed', { error: new Error('cannot store', { cause }) });
    expect(parsed().error).toMatchObject({
      name: 'Error',
      message: 'cannot store',
      stack: expect.stringContaining('log.test.ts'),
      cause: { name: 'TypeError', message: 'no space', code: 'ENOSPC' },
    });
    expect(parsed().error.cause).not.toHaveProperty('headers');
  });

  test('has the access log as fields', () => {
    const { log, parsed } = setUp({ formatter: 'json' });
    log.access({ ...entry, user: '', userAgent: 'docker', requestId: 'r1' });
    expect(parsed()).toEqual({
      level: 'info',
      time: expect.stringMatching(iso),
      remote: '192.0.2.7',
      method: 'GET',
      path: '/v2/',
      protocol: 'HTTP/1.1',
      status: 200,
      bytes: 2,
      duration_ms: 1.235,
      user_agent: 'docker',
      request_id: 'r1',
      msg: 'request',
    });
  });
});
