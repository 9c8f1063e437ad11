#!/bin/sh
# Without a driver each command that needs one says so in one line.
. "$(dirname "$0")/common.sh"
VK_ICD_FILENAMES=$folder/none.json
VK_DRIVER_FILES=$folder/none.json
export VK_ICD_FILENAMES VK_DRIVER_FILES
expect 1 devices
one_line 'Vulkan'
expect 1 devices -o json
one_line 'Vulkan'
expect 1 compat --no-model
one_line 'Vulkan'
expect 1 run -m "$f16" -p x
one_line 'Vulkan'
expect 1 bench -m "$f16"
one_line 'Vulkan'
finish
