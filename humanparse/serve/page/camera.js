// A photo from the camera, in a dialog.

const dialog = document.getElementById("camera-dialog");
const video = document.getElementById("video");

const WHY = new Map([
  [
    "NotAllowedError",
    "The camera may not be used. Allow it for this page in the browser's settings, or choose a photo.",
  ],
  ["NotFoundError", "No camera was found. Connect one, or choose a photo."],
  ["NotReadableError", "Another program uses the camera. Close that program, or choose a photo."],
]);

/** A File, or null when the dialog was closed. Throws an Error whose message says what to do. */
export async function takePhoto() {
  const stream = await open();
  try {
    video.srcObject = stream;
    const taken = shot(); // before the dialog opens, which would focus the button
    dialog.showModal();
    return (await taken) ? await still() : null;
  } finally {
    for (const track of stream.getTracks()) track.stop();
    video.srcObject = null;
    dialog.close();
  }
}

async function open() {
  if (!navigator.mediaDevices) {
    throw new Error(
      "The browser gives the camera only to pages over https or on this machine itself. Choose a photo.",
    );
  }
  try {
    const wanted = { width: { ideal: 1920 }, height: { ideal: 1080 }, facingMode: "environment" };
    return await navigator.mediaDevices.getUserMedia({ video: wanted });
  } catch (error) {
    const message = WHY.get(error.name) ?? `The camera does not work (${error.message || error.name}).`;
    throw new Error(message, { cause: error });
  }
}

// Whether to take the photo; false if the dialog was closed.
function shot() {
  const shoot = document.getElementById("shoot");
  shoot.disabled = true;
  running().then(() => {
    shoot.disabled = false;
    shoot.focus();
  });
  return new Promise((resolve) => {
    shoot.onclick = () => resolve(true);
    document.getElementById("camera-close").onclick = () => resolve(false);
    dialog.onclose = () => resolve(false);
  });
}

// Wait for the camera's first picture; a black one at time 0 comes before it.
async function running() {
  do {
    await new Promise((resolve) => {
      if (video.requestVideoFrameCallback) video.requestVideoFrameCallback(resolve);
      else video.addEventListener("timeupdate", resolve, { once: true });
    });
  } while (video.currentTime === 0);
}

async function still() {
  const canvas = document.createElement("canvas");
  canvas.width = video.videoWidth;
  canvas.height = video.videoHeight;
  canvas.getContext("2d").drawImage(video, 0, 0);
  const blob = await new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", 0.95));
  return new File([blob], "camera.jpg", { type: "image/jpeg" });
}
