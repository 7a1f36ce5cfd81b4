"""humanparse's nodes for ComfyUI: copy this folder into ComfyUI/custom_nodes."""

from humanparse.adapters import comfyui, comfyui_pictures

NODE_CLASS_MAPPINGS = {**comfyui.NODE_CLASS_MAPPINGS, **comfyui_pictures.NODE_CLASS_MAPPINGS}
NODE_DISPLAY_NAME_MAPPINGS = {
    **comfyui.NODE_DISPLAY_NAME_MAPPINGS,
    **comfyui_pictures.NODE_DISPLAY_NAME_MAPPINGS,
}

__all__ = ["NODE_CLASS_MAPPINGS", "NODE_DISPLAY_NAME_MAPPINGS"]
