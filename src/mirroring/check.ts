import type { Config } from '../config/schema.ts';
import { scheduledImages } from './schedule.ts';
import { openUpstreams } from './upstreams.ts';

/**
 * Whether what the sections `mirror` and `proxy` ask for can be built: what names other things, such as files and images, is right
 * only together with these. Asks no upstream.
 *
 * @throws ConfigError
 */
export async function checkMirroring(config: Config): Promise<void> {
  const upstreams = openUpstreams(config, { userAgent: '', happened: () => {} });
  try {
    scheduledImages(config.mirror.schedule, upstreams);
  } finally {
    await Promise.all(upstreams.map(({ client }) => client.close()));
  }
}
