// The name of an image: [registry[:port]/]path[:tag][@digest].
#pragma once

// The same image with this tag, instead of whatever tag or digest it had. Caller frees.
char *image_with_tag(const char *image, const char *tag);
// NULL: fine; else what is wrong with a tag.
const char *image_wrong_tag(const char *tag);
