// Asks for the API key if the service needs one.

import { Refused, setKey } from "./api.js";

const dialog = document.getElementById("key-dialog");
const field = document.getElementById("key");

let asking = null;
let asked = false;

/** The result of `work`; while the service refuses the key, ask for one and try again. */
export async function withKey(work) {
  for (;;) {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof Refused) || error.code !== "unauthorized") throw error;
      asking ??= ask().finally(() => (asking = null));
      if (!(await asking)) {
        throw new Refused("unauthorized", "This service needs an API key. Try again to type it in.");
      }
    }
  }
}

// Whether a key was given.
function ask() {
  document.getElementById("key-text").textContent = asked
    ? "The service does not take this key. Type it again."
    : "This service needs an API key. It is kept until you leave this page.";
  asked = true;
  field.value = "";
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    document.getElementById("key-close").onclick = () => dialog.close();
    dialog.onclose = () => {
      if (dialog.returnValue === "ok") setKey(field.value);
      field.value = "";
      resolve(dialog.returnValue === "ok");
    };
  });
}
