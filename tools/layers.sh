#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Makes two include roots per folder of src/, with links to just the folders which src/LAYERS allows it: one to the
# sources, one to what the build generates (FOLDER.generated).
# usage: layers.sh SOURCE_DIR BUILD_DIR    prints "folder dep dep ..." a line each, lowest first
set -eu
src=$1/src
out=$2/layers
rm -rf "$out"
sed -e 's/#.*//' -e '/^[[:space:]]*$/d' "$src/LAYERS" | while IFS=: read -r folder deps; do
    mkdir -p "$out/$folder" "$out/$folder.generated"
    for name in $folder $deps; do
        [ -d "$src/$name" ] || { echo "src/LAYERS: $folder: no folder $name" >&2; exit 1; }
        ln -s "$src/$name" "$out/$folder/$name"
        ln -s "$2/src/$name" "$out/$folder.generated/$name"
    done
    echo $folder $deps
done
