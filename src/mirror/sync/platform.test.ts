import { describe, expect, it } from 'vitest';
import { type Digest, digestOf } from '../../oci/digest.ts';
import type { ChildDescriptor, Platform } from '../../oci/manifest.ts';
import { mediaTypes } from '../../oci/media-type.ts';
import { choose, formatPlatform, tryParsePlatform } from './platform.ts';

function child(platform: string | undefined, of?: Digest): ChildDescriptor {
  const digest = digestOf(Buffer.from(`${platform} ${of}`));
  const parsed = platform === undefined ? undefined : tryParsePlatform(platform);
  return {
    mediaType: mediaTypes.ociManifest,
    digest,
    size: 1,
    ...(parsed !== undefined && { platform: parsed }),
    ...(of !== undefined && { annotations: { 'vnd.docker.reference.digest': of } }),
  };
}

const wanted = (...texts: string[]) => texts.map((text) => tryParsePlatform(text) as Platform);

describe('a platform', () => {
  it.each(['linux/amd64', 'linux/arm/v7', 'windows/amd64'])('is read and written: %s', (text) => {
    expect(formatPlatform(tryParsePlatform(text) as Platform)).toBe(text);
  });

  it.each(['linux', 'linux/', '/amd64', 'linux/arm/v7/x', 'Linux/amd64', ''])('is not %j', (text) => {
    expect(tryParsePlatform(text)).toBeUndefined();
  });
});

describe('of an index', () => {
  const [amd, arm6, arm7, arm64] = ['linux/amd64', 'linux/arm/v6', 'linux/arm/v7', 'linux/arm64/v8'].map((platform) =>
    child(platform),
  ) as [ChildDescriptor, ChildDescriptor, ChildDescriptor, ChildDescriptor];
  const attestation = child('unknown/unknown', amd.digest);
  const all = [amd, arm6, arm7, arm64, attestation];

  it('all are chosen when nobody chooses', () => {
    expect(choose(all, undefined)).toEqual({ chosen: all, missing: [] });
  });

  it('those of a platform are chosen, with what attests them', () => {
    expect(choose(all, wanted('linux/amd64')).chosen).toEqual([amd, attestation]);
    expect(choose(all, wanted('linux/arm64')).chosen).toEqual([arm64]);
  });

  it('every variant is chosen unless one is named', () => {
    expect(choose(all, wanted('linux/arm')).chosen).toEqual([arm6, arm7]);
    expect(choose(all, wanted('linux/arm/v6')).chosen).toEqual([arm6]);
    expect(choose([child('linux/arm64')], wanted('linux/arm64/v8')).missing).toEqual([]);
  });

  it('what is for no platform is for all', () => {
    const plain = child(undefined);
    expect(choose([plain], wanted('linux/amd64'))).toEqual({ chosen: [plain], missing: [] });
  });

  it('it is said what there is not', () => {
    const { chosen, missing } = choose(all, wanted('linux/amd64', 'linux/s390x'));
    expect(chosen).toEqual([amd, attestation]);
    expect(missing.map(formatPlatform)).toEqual(['linux/s390x']);
  });
});
