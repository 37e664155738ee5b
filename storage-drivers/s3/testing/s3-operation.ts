/** S3's name of a request with the bucket in its path, e.g. `PutObject`; `unknown` for what the driver never asks. */
export function operationOf(
  method: string,
  key: string,
  query: URLSearchParams,
  headers: Readonly<Record<string, string>>,
): string {
  const copies = 'x-amz-copy-source' in headers;
  if (key === '') {
    if (method === 'GET') return query.has('uploads') ? 'ListMultipartUploads' : 'ListObjectsV2';
    if (method === 'POST' && query.has('delete')) return 'DeleteObjects';
    return 'unknown';
  }
  switch (method) {
    case 'GET':
      return query.has('uploadId') ? 'ListParts' : 'GetObject';
    case 'HEAD':
      return 'HeadObject';
    case 'PUT':
      if (query.has('partNumber')) return copies ? 'UploadPartCopy' : 'UploadPart';
      return copies ? 'CopyObject' : 'PutObject';
    case 'POST':
      return query.has('uploads') ? 'CreateMultipartUpload' : 'CompleteMultipartUpload';
    case 'DELETE':
      return query.has('uploadId') ? 'AbortMultipartUpload' : 'DeleteObject';
    default:
      return 'unknown';
  }
}
