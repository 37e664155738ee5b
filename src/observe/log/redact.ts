/** What stands where a secret was. */
export const redacted = '<redacted>';

const secretName =
  /(?:secret|password|passwd|passphrase|token|credentials?|authorization|cookie|(?:access|secret|account|private|api|signing)key)$/;

/** Whether a field of this name holds a secret, however it is spelt: `secretKey`, `Set-Cookie`, `access_token`. */
export function isSecretName(name: string): boolean {
  return secretName.test(name.toLowerCase().replaceAll(/[-_.]/g, ''));
}

/** Query parameters that grant something: tokens, and what signs a URL of an object store or a CDN. */
const secretParameter =
  /([?&](?:[\w.-]*(?:token|password|secret|signature|credential|assertion)|sig|code)=)[^&#\s"]*/gi;
const authorization = /\b(Basic|Bearer|Negotiate|Digest) +[A-Za-z0-9+/=._~-]{12,}/gi;
const userInfo = /(:\/\/)[^\s/?#@"]+@/g;

/** A request target or URL without the secrets of its query. */
export function redactQuery(target: string): string {
  return target.includes('?') ? target.replace(secretParameter, `$1${redacted}`) : target;
}

/** A text, such as the message of an error, without credentials in the forms in which HTTP carries them. */
export function redactText(text: string): string {
  return redactQuery(text).replace(authorization, `$1 ${redacted}`).replace(userInfo, `$1${redacted}@`);
}
