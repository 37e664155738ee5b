import { describe, expect, it } from 'vitest';
import { parseOptions, UsageError } from './options.ts';

describe('arguments', () => {
  it('measure everything in five rounds when there are none', () => {
    const options = parseOptions([]);
    expect(options.programs.map((program) => program.name)).toEqual(['berth', 'distribution']);
    expect(options).toMatchObject({ rounds: 5, seconds: 3, usualSizes: true, json: undefined });
    expect(options.sizes).toEqual({ blobMib: 256, repositories: 2000, tags: 5000 });
    expect(options.only.test('anything')).toBe(true);
  });

  it('take fewer tags on S3', () => {
    expect(parseOptions(['--storage', 's3'])).toMatchObject({
      storage: 's3',
      rounds: 5,
      sizes: { blobMib: 256, repositories: 2000, tags: 1000 },
      usualSizes: true,
    });
    expect(parseOptions(['--storage', 's3', '--tags', '5000']).usualSizes).toBe(false);
  });

  it('make it quick, except for what is said otherwise', () => {
    const options = parseOptions(['--quick', '--rounds', '2']);
    expect(options).toMatchObject({ storage: 'filesystem', rounds: 2, seconds: 1, usualSizes: false });
    expect(options.sizes).toEqual({ blobMib: 16, repositories: 200, tags: 200 });
  });

  it('name further registries, with arguments', () => {
    const { programs } = parseOptions(['--other', 'v3=/opt/registry', '--other', 'prof=node --cpu-prof main.js']);
    expect(programs.slice(2)).toEqual([
      { name: 'v3', command: ['/opt/registry'] },
      { name: 'prof', command: ['node', '--cpu-prof', 'main.js'] },
    ]);
  });

  it('leave registries out', () => {
    expect(parseOptions(['--without', 'berth']).programs.map((program) => program.name)).toEqual(['distribution']);
  });

  it('choose lines without regard to case', () => {
    expect(parseOptions(['--only', 'manifest (get|head)']).only.test('Manifest HEAD by tag')).toBe(true);
  });

  it('do not judge other sizes than the usual ones', () => {
    expect(parseOptions(['--tags', '100']).usualSizes).toBe(false);
  });

  it.each([
    ['--rounds', '0'],
    ['--seconds', '1.5'],
    ['--tags', 'many'],
    ['--only', '('],
    ['--other', 'nothing'],
    ['--other', '../x=y'],
    ['--other', 'x= '],
    ['--other', 'berth=y'],
    ['--without', 'nobody'],
    ['--without', 'berth', '--without', 'distribution'],
    ['--storage', 'azure'],
    ['--unknown'],
    ['word'],
  ])('refuse %s %s', (...args) => {
    expect(() => parseOptions(args)).toThrow(UsageError);
  });
});
