#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Makes one include root per folder of src/ that holds links to just the folders which src/LAYERS allows it.
# usage: layers.sh SOURCE_DIR BUILD_DIR    prints "folder dep dep ..." a line each, lowest first
set -eu
src=$1/src
out=$2/layers
rm -rf "$out"
sed -e 's/#.*//' -e '/^[[:space:]]*$/d' "$src/LAYERS" | while IFS=: read -r folder deps; do
    mkdir -p "$out/$folder"
    for name in $folder $deps; do
        [ -d "$src/$name" ] || { echo "src/LAYERS: $folder: no folder $name" >&2; exit 1; }
        ln -s "$src/$name" "$out/$folder/$name"
    done
    echo $folder $deps
done
