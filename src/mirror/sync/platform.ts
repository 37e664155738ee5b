import type { ChildDescriptor, Platform } from '../../oci/manifest.ts';

/** A platform as people write it, `linux/arm64` or `linux/arm/v7`; undefined when it is none. Without a variant it means every one. */
export function tryParsePlatform(text: string): Platform | undefined {
  const [, os, architecture, variant] = /^([a-z0-9]+)\/([a-z0-9]+)(?:\/([a-z0-9.]+))?$/.exec(text) ?? [];
  if (os === undefined || architecture === undefined) return undefined;
  return { os, architecture, ...(variant !== undefined && { variant }) };
}

export function formatPlatform({ os, architecture, variant }: Platform): string {
  return [os, architecture, variant].filter((part) => part !== undefined).join('/');
}

export interface Choice {
  readonly chosen: readonly ChildDescriptor[];
  /** Platforms that were asked for and that no child is for. */
  readonly missing: readonly Platform[];
}

/** BuildKit puts the digest of an image into the descriptor of what attests it, which is for no platform of its own. */
const attested = 'vnd.docker.reference.digest';

/**
 * The children of an index that are for these platforms, and what attests them. Who does not say what he is for is chosen.
 *
 * @param platforms undefined: all
 */
export function choose(children: readonly ChildDescriptor[], platforms: readonly Platform[] | undefined): Choice {
  if (platforms === undefined) return { chosen: children, missing: [] };
  const isAttestation = ({ annotations }: ChildDescriptor) => annotations?.[attested] !== undefined;
  const images = children.filter((child) => !isAttestation(child));
  const chosen = images.filter(
    ({ platform }) => platform === undefined || platforms.some((wanted) => serves(platform, wanted)),
  );
  const digests = new Set<string>(chosen.map(({ digest }) => digest));
  const attestations = children.filter(({ annotations }) => digests.has(annotations?.[attested] ?? ''));
  const missing = platforms.filter(
    (wanted) => !images.some(({ platform }) => platform === undefined || serves(platform, wanted)),
  );
  return { chosen: [...chosen, ...attestations], missing };
}

/** The first variant of these is what an image is for that names none. */
const firstVariant: Readonly<Record<string, string>> = { amd64: 'v1', arm64: 'v8', arm: 'v7' };

function serves({ os, architecture, variant }: Platform, wanted: Platform): boolean {
  if (os !== wanted.os || architecture !== wanted.architecture) return false;
  const first = firstVariant[architecture];
  return wanted.variant === undefined || (variant ?? first) === wanted.variant;
}
