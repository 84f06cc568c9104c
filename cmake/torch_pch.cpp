// Carries the precompiled ATen headers; see Torch.cmake.
