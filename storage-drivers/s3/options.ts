import { OptionReader, type ParsedOptions } from '../options.ts';

const mebibyte = 1024 * 1024;
const gibibyte = 1024 * mebibyte;

/** What S3 asks of every part of a multipart upload but the last. In bytes. */
export const minPartSize = 5 * mebibyte;

/** The largest part, single PUT and single copy of S3. In bytes. */
export const maxPartSize = 5 * gibibyte;

/** The section `storage.s3` (or `s3aws`) of the configuration, with distribution's keys. */
export interface S3Options {
  /** Must exist already. Required. */
  bucket: string;
  /** Required unless `regionendpoint` is given; then `us-east-1`. */
  region: string;
  /**
   * Where the S3 server is, for all that are not AWS: `https://minio.example.com:9000`. Without a scheme, `secure`
   * tells it. Default: AWS, by the region.
   */
  regionendpoint: string | undefined;
  /**
   * Where clients are sent to for blobs, if they reach the same server under another name. Default: `regionendpoint`.
   */
  redirectendpoint: string | undefined;
  /** `https://host/bucket/key` instead of `https://bucket.host/key`. Default: true with `regionendpoint`, else false. */
  forcepathstyle: boolean;
  /**
   * Default: the SDK's own chain: `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`, shared files, web identity, the
   * container's or the machine's role.
   */
  credentials: { accesskey: string; secretkey: string; sessiontoken: string | undefined } | undefined;
  /** Objects are encrypted by the server: with `keyid` by that KMS key, else AES256. Default false. */
  encrypt: boolean;
  keyid: string | undefined;
  /** HTTPS, where an endpoint does not say. Default true. */
  secure: boolean;
  /** The server's certificate is not verified. For tests. Default false. */
  skipverify: boolean;
  /** Bytes of an upload that are held in memory and sent at once, at least 5 MiB. Default 10 MiB. */
  chunksize: number;
  /** Bytes of one part of a server-side copy. Default 32 MiB. */
  multipartcopychunksize: number;
  /** Parts of one object that are copied at a time. Default 100. */
  multipartcopymaxconcurrency: number;
  /** Objects of more bytes are copied in parts. Default 32 MiB. */
  multipartcopythresholdsize: number;
  /** A prefix of all keys. Default: none. */
  rootdirectory: string;
  /** Default STANDARD. `NONE`: the server's default, as some servers refuse the header. */
  storageclass: string;
  /** A canned ACL for each object. Default `private`, which is what a bucket does anyway: nothing is sent. */
  objectacl: string;
  /** Added to the user agent. Default: none. */
  useragent: string | undefined;
  /** AWS only. Default false each. */
  accelerate: boolean;
  usedualstack: boolean;
  usefipsendpoint: boolean;
}

const storageClasses = [
  'NONE',
  'STANDARD',
  'REDUCED_REDUNDANCY',
  'STANDARD_IA',
  'ONEZONE_IA',
  'INTELLIGENT_TIERING',
  'GLACIER_IR',
  'OUTPOSTS',
  'EXPRESS_ONEZONE',
];

const acls = [
  'private',
  'public-read',
  'public-read-write',
  'aws-exec-read',
  'authenticated-read',
  'bucket-owner-read',
  'bucket-owner-full-control',
];

export function parseS3Options(parameters: Readonly<Record<string, unknown>>): ParsedOptions<S3Options> {
  const reader = new OptionReader(parameters);

  const bucket = reader.optional('bucket') ?? '';
  if (bucket === '') reader.fault('bucket', undefined, 'is required: the name of a bucket that exists');
  else if (!isBucketName(bucket)) {
    reader.fault(
      'bucket',
      bucket,
      'must be the name of a bucket: letters, digits and . _ -, or the ARN of an access point',
    );
  }

  const secure = reader.truth('secure', true);
  const regionendpoint = readEndpoint(reader, 'regionendpoint', secure);
  const redirectendpoint = readEndpoint(reader, 'redirectendpoint', secure);
  const region = reader.optional('region');
  if (region === undefined && regionendpoint === undefined) {
    reader.fault(
      'region',
      undefined,
      'is required, e.g. eu-central-1; or give regionendpoint for a server other than AWS',
    );
  }

  const accesskey = reader.secret('accesskey');
  const secretkey = reader.secret('secretkey');
  const sessiontoken = reader.secret('sessiontoken');
  if ((accesskey === undefined) !== (secretkey === undefined)) {
    const missing = accesskey === undefined ? 'accesskey' : 'secretkey';
    reader.fault(missing, undefined, 'is missing: accesskey and secretkey must be given both, or neither');
  }

  if (!reader.truth('v4auth', true)) reader.warn('v4auth', false, 'has no effect: signatures are always version 4');
  reader.optional('loglevel');
  reader.truth('multipartcombinesmallpart', true);

  const rootdirectory = reader.optional('rootdirectory') ?? '';
  if (rootdirectory.split('/').some((segment) => segment === '.' || segment === '..')) {
    // Clients take such segments out of the addresses that they are sent to.
    reader.fault(
      'rootdirectory',
      rootdirectory,
      'must not have . or .. between its slashes: it is the beginning of keys',
    );
  }
  if (rootdirectory.includes('%')) {
    reader.warn(
      'rootdirectory',
      rootdirectory,
      'has a %, with which Ceph 16.2 does not copy the parts of large uploads',
    );
  }

  const encrypt = reader.truth('encrypt', false);
  const keyid = reader.optional('keyid');
  if (keyid !== undefined && !encrypt) reader.warn('keyid', keyid, 'has no effect without encrypt');

  const storageclass = oneOf(reader, 'storageclass', 'STANDARD', storageClasses, (text) => text.toUpperCase());
  const objectacl = oneOf(reader, 'objectacl', 'private', acls, (text) => text);

  return reader.finish<S3Options>({
    bucket,
    region: region ?? 'us-east-1',
    regionendpoint,
    redirectendpoint,
    forcepathstyle: reader.truth('forcepathstyle', regionendpoint !== undefined),
    credentials:
      accesskey === undefined || secretkey === undefined ? undefined : { accesskey, secretkey, sessiontoken },
    encrypt,
    keyid,
    secure,
    skipverify: reader.truth('skipverify', false),
    chunksize: readSize(reader, 'chunksize', 10 * mebibyte),
    multipartcopychunksize: readSize(reader, 'multipartcopychunksize', 32 * mebibyte),
    multipartcopymaxconcurrency: Math.max(1, reader.wholeNumber('multipartcopymaxconcurrency', 100)),
    multipartcopythresholdsize: Math.min(maxPartSize, reader.wholeNumber('multipartcopythresholdsize', 32 * mebibyte)),
    rootdirectory,
    storageclass,
    objectacl,
    useragent: reader.optional('useragent'),
    accelerate: reader.truth('accelerate', false),
    usedualstack: reader.truth('usedualstack', false),
    usefipsendpoint: reader.truth('usefipsendpoint', false),
  });
}

/** Wider than the rules of AWS, as older buckets have capitals and `_`, and Ceph puts a tenant and a colon in front. */
function isBucketName(text: string): boolean {
  return /^arn:[^\s]+$/.test(text) || /^(?:[\w-]+:)?[A-Za-z0-9_][\w.-]{0,254}$/.test(text);
}

function readSize(reader: OptionReader, key: string, fallback: number): number {
  const size = reader.wholeNumber(key, fallback);
  if (size < minPartSize || size > maxPartSize) {
    reader.fault(
      key,
      size,
      `must be from ${minPartSize} (5 MiB) to ${maxPartSize} (5 GiB) bytes, as S3 takes no other parts`,
    );
  }
  return size;
}

function readEndpoint(reader: OptionReader, key: string, secure: boolean): string | undefined {
  const text = reader.optional(key);
  if (text === undefined) return undefined;
  const url = /^[a-z]+:\/\//i.test(text) ? text : `${secure ? 'https' : 'http'}://${text}`;
  const parsed = URL.canParse(url) ? new URL(url) : undefined;
  // Credentials in it would be told with every fault.
  const { protocol = '', search = '', hash = '', username = '', password = '' } = parsed ?? {};
  if (['http:', 'https:'].includes(protocol) && search + hash + username + password === '') {
    return url.replace(/\/+$/, '');
  }
  reader.fault(key, undefined, 'must be the address of a server, e.g. https://minio.example.com:9000');
  return undefined;
}

function oneOf(
  reader: OptionReader,
  key: string,
  fallback: string,
  allowed: readonly string[],
  spell: (text: string) => string,
): string {
  const value = spell(reader.text(key, fallback));
  if (!allowed.includes(value)) reader.fault(key, value, `must be one of ${allowed.join(', ')}`);
  return value;
}
