/* Boxes: how other programs describe one, as H5MD's edge vectors. Pure. The functions are public: trajlog.h has their
 * contract. */
#ifndef MODEL_BOX_H
#define MODEL_BOX_H

#include "model/status.h"

#endif
