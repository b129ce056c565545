"""What a training writes for TensorBoard, and TensorBoard itself."""
