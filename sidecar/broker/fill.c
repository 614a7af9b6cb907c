// What a container may be filled with: the spec's files at their targets, with the spec's owner and
// mode. What is in them was rendered elsewhere, and is the worker's word.
#include "base/check.h"
#include "base/own.h"
#include "sidecar/broker/broker_inside.h"

enum { MODE = 0777 }; // never setuid, setgid or sticky

bool fill_is_the_specs(const struct spec *spec, const struct door_request *request) {
    auto_free struct docker_file *files = xcalloc(spec->files_len + 1, sizeof *files);
    for (size_t i = 0; i < spec->files_len; i++) {
        const struct spec_file *file = &spec->files[i];
        files[i] = (struct docker_file){.path = file->target + 1, // without its slash
                                        .mode = file->mode & MODE,
                                        .uid = (unsigned)file->uid,
                                        .gid = (unsigned)file->gid};
    }
    return text_same(request->text, "/") &&
           docker_archive_is_of(request->body, request->body_len, files, spec->files_len);
}
