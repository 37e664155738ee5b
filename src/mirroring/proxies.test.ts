import { expect, test } from 'vitest';
import { proxiesOf } from './proxies.ts';

test('are those of the environment', () => {
  expect(proxiesOf({ https_proxy: 'proxy:3128', HTTP_PROXY: 'http://user:secret@proxy', NO_PROXY: '.inner' })).toEqual({
    http: 'http://user:secret@proxy',
    https: 'http://proxy:3128',
    except: '.inner',
  });
  expect(proxiesOf({ HTTP_PROXY: '' })).toEqual({});
});

test.each(['http://bad host:1', 'socks5://proxy:1080', 'http://user:secret@proxy:99999'])('%s is none', (url) => {
  const read = () => proxiesOf({ HTTPS_PROXY: url });
  expect(read).toThrow('the environment: HTTPS_PROXY must be a URL such as http://proxy:3128');
  expect(read).not.toThrow('secret');
});
