// Requests to the service; the message of an error says what to do.

const ATTEMPTS = 6;

let key = "";

/** Send this key from now on; it is kept until the page is closed. */
export function setKey(value) {
  key = value;
}

/** Why there is no answer; `message` says what to do. */
export class Refused extends Error {
  constructor(code, message, retryAfter = null) {
    super(message);
    this.code = code;
    this.retryAfter = retryAfter;
  }
}

export async function listModels() {
  return (await request("v1/models", {})).json();
}

/**
 * Parse a photo. While the service is busy or its model is being loaded, wait as long as it says and try again.
 *
 * @param file the photo, in any format that the service reads.
 * @param wish {model, scheme, people, format}; an empty value means the service's default.
 * @param signal of an AbortController.
 * @param onWait called before each wait, with the reason and the seconds.
 */
export async function parse(file, wish, signal, onWait = () => {}) {
  const query = new URLSearchParams(Object.entries(wish).filter(([, value]) => value));
  for (let attempt = 1; ; attempt++) {
    const body = new FormData();
    body.append("image", file);
    try {
      return await request(`v1/parse?${query}`, { method: "POST", body, signal });
    } catch (error) {
      const again = error instanceof Refused && error.retryAfter !== null && attempt < ATTEMPTS;
      if (!again) throw error;
      onWait(error.message, error.retryAfter);
      await pause(error.retryAfter, signal);
    }
  }
}

async function request(path, options) {
  let response;
  try {
    response = await fetch(path, { ...options, headers: key ? { "X-API-Key": key } : {} });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused("unreachable", "The service does not answer. Check that it runs, then try again.");
  }
  if (response.ok) return response;
  throw await refusal(response);
}

async function refusal(response) {
  const seconds = Number.parseInt(response.headers.get("Retry-After") ?? "", 10);
  const retryAfter = Number.isNaN(seconds) ? null : seconds;
  try {
    const { code, message } = (await response.json()).error;
    return new Refused(code, message, retryAfter);
  } catch {
    return new Refused("http", `The service answered ${response.status} ${response.statusText}.`, retryAfter);
  }
}

function pause(seconds, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, 1000 * seconds);
    signal?.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(signal.reason);
    });
  });
}
