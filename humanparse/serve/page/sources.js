// The ways in which a photo comes to the page: chosen, dropped, pasted, from the camera.

import { takePhoto } from "./camera.js";

/**
 * @param onPhoto called with each photo, a File.
 * @param onError called with the reason, as text, if there is none.
 */
export function listen(onPhoto, onError) {
  const input = document.getElementById("file");
  document.getElementById("choose").addEventListener("click", () => input.click());
  input.addEventListener("change", () => {
    if (input.files.length) onPhoto(input.files[0]);
    input.value = ""; // so that the same file can be chosen again
  });
  let shooting = null;
  document.getElementById("camera").addEventListener("click", () => {
    shooting ??= shoot(onPhoto, onError).finally(() => (shooting = null));
  });
  listenForDrops(document.getElementById("stage"), onPhoto, onError);
  document.addEventListener("paste", (event) => {
    if (event.target.closest?.("input, dialog")) return;
    if (event.clipboardData.files.length) onPhoto(event.clipboardData.files[0]);
    else onError("There is no photo on the clipboard. Copy one, or choose a file.");
  });
}

async function shoot(onPhoto, onError) {
  try {
    const photo = await takePhoto();
    if (photo) onPhoto(photo);
  } catch (error) {
    onError(error.message);
  }
}

// Listen on the whole page: otherwise the browser would open a photo that misses the stage.
function listenForDrops(stage, onPhoto, onError) {
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    stage.classList.add("target");
  });
  document.addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) stage.classList.remove("target");
  });
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    stage.classList.remove("target");
    const { files } = event.dataTransfer;
    if (files.length === 1) onPhoto(files[0]);
    else if (files.length) onError("Drop one photo at a time.");
    else onError("That was no file. Save the photo first, then drop the file.");
  });
}
