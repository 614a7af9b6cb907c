#include "cli/image.h"
#include "base/check.h"
#include <ctype.h>
#include <string.h>

// A ':' before the last '/' belongs to the registry's port.
char *image_with_tag(const char *image, const char *tag) {
    size_t name = strcspn(image, "@"), path = 0;
    for (size_t i = 0; i < name; i++)
        path = image[i] == '/' ? i + 1 : path;
    size_t bare = path + strcspn(image + path, ":@");
    return xasprintf("%.*s:%s", (int)bare, image, tag);
}

const char *image_wrong_tag(const char *tag) {
    size_t n = strlen(tag);
    if (!n || n > 128 || *tag == '.' || *tag == '-')
        return "is no tag";
    for (; *tag; tag++)
        if (!isalnum((unsigned char)*tag) && !strchr("._-", *tag))
            return "is no tag of letters, digits, '.', '_' and '-'";
    return NULL;
}
