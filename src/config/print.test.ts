import { inspect } from 'node:util';
import { describe, expect, test } from 'vitest';
import { printConfig } from './print.ts';
import { fileWith, loadText, withoutFolder } from './testing/load-text.ts';

const full = `version: 0.1
log: {fields: {answer: "off", number: 5}}
storage:
  s3: {bucket: b, region: "0123", secretkey: hunter2, chunksize: 5242880}
  delete: {enabled: true}
http:
  secret: hunter2
  draintimeout: 1m30s
  headers: {X-A: [b, c]}
health:
  http: [{uri: "http://a", headers: {Authorization: [hunter2]}}]
`;

describe('the printed configuration', () => {
  test('has every key, and where the given ones are from', async () => {
    const { config, origins } = await loadText(fileWith('http: {draintimeout: 90s}'), { REGISTRY_LOG_LEVEL: 'warn' });
    const lines = withoutFolder(printConfig(config, origins)).split('\n');
    expect(lines.slice(0, 9)).toEqual([
      'version: 0.1 # config.yml:1',
      'log:',
      '  accesslog:',
      '    disabled: false',
      '  level: warn # REGISTRY_LOG_LEVEL',
      '  formatter: text',
      '  fields: {}',
      'storage:',
      '  inmemory: null # config.yml:2',
    ]);
    expect(lines).toContain('  draintimeout: 1m30s # config.yml:3');
    expect(lines).toContain('      age: 168h');
  });

  test('is a file that means the same, except for its secrets', async () => {
    const { config } = await loadText(full);
    const printed = printConfig(config);
    const again = (await loadText(printed.replaceAll('<redacted>', 'hunter2'))).config;
    expect(again).toEqual(config);
    expect(again.http.secret?.reveal()).toBe('hunter2');
  });

  test('quotes texts that YAML 1.1 would take for something else', async () => {
    const printed = printConfig((await loadText(full)).config);
    expect(printed).toContain('answer: "off"');
    expect(printed).toContain('region: "0123"');
  });
});

test('secrets are seen nowhere', async () => {
  const { config, origins, warnings } = await loadText(full);
  const everything = [
    printConfig(config, origins),
    JSON.stringify(config),
    inspect(config, { depth: 20, showHidden: true }),
    inspect({ ...config.http }, { depth: 20 }),
    inspect({ origins, warnings }, { depth: 20 }),
  ];
  expect(everything.join('\n')).not.toContain('hunter2');
  expect(printConfig(config)).toContain('secret: <redacted>');
});
