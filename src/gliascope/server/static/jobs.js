// Jobs on the server: sending, waiting for the result, and deleting.

import { ApiError, request, upload } from "./api.js";
import { pause } from "./dom.js";
import { headers } from "./key.js";

const FIRST_DELAY = 250; // milliseconds between two queries of a job, growing to LAST_DELAY
const LAST_DELAY = 2000;
// HTTP status of a failed job's error code, as the same error has in response to a request.
const STATUS = { unreadable: 422, too_many_slices: 413, timeout: 504, disk_full: 507 };

/**
 * Send files to a model and wait for its Prediction: {id, prediction}.
 * `onProgress` receives {sent}, a share, and then the job's {files, files_done, slices_done}.
 * Throws ApiError, or the reason of `signal`; the job is then deleted.
 */
export async function run(model, files, { signal, onProgress }) {
  const form = new FormData();
  for (const { file, name } of files) form.append("files", file, name);
  const path = `v1/jobs?model=${encodeURIComponent(model)}`;
  const onSent = (sent) => onProgress({ sent });
  const { id } = await (await upload(path, form, { signal, onSent })).json();
  try {
    return { id, prediction: await follow(id, signal, onProgress) };
  } catch (error) {
    forget(id);
    throw error;
  }
}

/** Delete a job with its files and pictures. It works also while the page is being closed. */
export function forget(id) {
  fetch(address(id), { method: "DELETE", headers: headers(), keepalive: true }).catch(() => {});
}

export const image = (id, number) => `${address(id)}/slices/${number}/image`;
export const saliency = (id, number) => `${address(id)}/slices/${number}/saliency`;

const address = (id) => `v1/jobs/${encodeURIComponent(id)}`;

async function follow(id, signal, onProgress) {
  for (let delay = FIRST_DELAY; ; delay = Math.min(1.3 * delay, LAST_DELAY)) {
    const job = await (await request(address(id), { signal })).json();
    if (job.state === "done") return job.result;
    if (job.state === "failed") throw new ApiError(STATUS[job.error.code] ?? 500, job.error.code, job.error.message);
    onProgress(job.progress);
    await pause(delay, signal);
  }
}
