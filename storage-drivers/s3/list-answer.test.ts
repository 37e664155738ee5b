import { describe, expect, test } from 'vitest';
import { ForeignAnswerError } from './errors.ts';
import { parseListAnswer } from './list-answer.ts';

const root = '<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">';

test('objects, prefixes and where to go on, as they are in one line', () => {
  const xml =
    '<?xml version="1.0" encoding="UTF-8"?>' +
    `${root}<Name>bucket</Name><Prefix>a/</Prefix><MaxKeys>2</MaxKeys><IsTruncated>true</IsTruncated>` +
    '<NextContinuationToken>1ueGcxLPRx1Tr/XYExHnhbYLgveDs2J/wm36Hy4vbOwM=</NextContinuationToken>' +
    '<Contents><Key>a/b</Key><LastModified>2026-01-02T03:04:05.678Z</LastModified><ETag>&quot;e-2&quot;</ETag><Size>12</Size>' +
    '<Owner><ID>Key</ID><DisplayName>x</DisplayName></Owner><StorageClass>STANDARD</StorageClass></Contents>' +
    '<CommonPrefixes><Prefix>a/c/</Prefix></CommonPrefixes><CommonPrefixes><Prefix>a/d/</Prefix></CommonPrefixes>' +
    '<Delimiter>/</Delimiter><EncodingType></EncodingType></ListBucketResult>';
  expect(parseListAnswer(xml)).toEqual({
    objects: [{ key: 'a/b', size: 12, etag: '"e-2"', modified: new Date('2026-01-02T03:04:05.678Z') }],
    prefixes: ['a/c/', 'a/d/'],
    next: '1ueGcxLPRx1Tr/XYExHnhbYLgveDs2J/wm36Hy4vbOwM=',
  });
});

test('the same over many lines, without what may be missing', () => {
  const xml = `<?xml version="1.0"?>
    ${root}
      <IsTruncated>false</IsTruncated>
      <Contents>
        <Size>0</Size>
        <Key>a</Key>
      </Contents>
      <CommonPrefixes>
        <Prefix>b/</Prefix>
      </CommonPrefixes>
    </ListBucketResult>`;
  expect(parseListAnswer(xml)).toEqual({
    objects: [{ key: 'a', size: 0, etag: '', modified: undefined }],
    prefixes: ['b/'],
    next: undefined,
  });
});

test('nothing at all', () => {
  const nothing = { objects: [], prefixes: [], next: undefined };
  expect(parseListAnswer(`${root}<Prefix/><IsTruncated>false</IsTruncated></ListBucketResult>`)).toEqual(nothing);
});

test.each([
  ['a&amp;b', 'a&b'],
  ['&lt;Key&gt;x&lt;/Key&gt;', '<Key>x</Key>'],
  ['&quot;&apos;', '"\''],
  ['a&#13;b&#x1F600;', 'a\rb\u{1f600}'],
  ['&amp;lt;', '&lt;'],
  ['&unknown;&#x110000;', '&unknown;&#x110000;'],
  [' a ', ' a '],
  ['ключ', 'ключ'],
])('a key %s', (text, key) => {
  const one = `<Contents><Key>${text}</Key><Size>1</Size></Contents>`;
  const { objects } = parseListAnswer(`${root}<IsTruncated>false</IsTruncated>${one}</ListBucketResult>`);
  expect(objects.map((object) => object.key)).toEqual([key]);
});

describe('is refused', () => {
  test.each([
    ['nothing', ''],
    ['a page of somebody else', '<!doctype html><html><body>Log in</body></html>'],
    ['an error', '<Error><Code>InternalError</Code></Error>'],
    ['a list that was cut', `${root}<IsTruncated>false</IsTruncated><Contents><Key>a</Key><Size>1</Size></Contents>`],
    ['a list that does not say whether it goes on', `${root}</ListBucketResult>`],
    ['a list that does not say where it goes on', `${root}<IsTruncated>true</IsTruncated></ListBucketResult>`],
    [
      'an object without a key',
      `${root}<IsTruncated>false</IsTruncated><Contents><Size>1</Size></Contents></ListBucketResult>`,
    ],
  ])('%s', (_, xml) => {
    expect(() => parseListAnswer(xml)).toThrow(ForeignAnswerError);
  });
});
