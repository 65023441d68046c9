// The controls in use, and no others: each costs every viewer bytes.

import 'media-chrome/dist/media-controller.js';
import 'media-chrome/dist/media-control-bar.js';
import 'media-chrome/dist/media-play-button.js';
import 'media-chrome/dist/media-mute-button.js';
import 'media-chrome/dist/media-volume-range.js';
import 'media-chrome/dist/media-time-range.js';
import 'media-chrome/dist/media-time-display.js';
import 'media-chrome/dist/media-captions-button.js';
import 'media-chrome/dist/media-pip-button.js';
import 'media-chrome/dist/media-fullscreen-button.js';
import 'media-chrome/dist/menu/media-rendition-menu-button.js';
// The menu makes these without importing them.
import 'media-chrome/dist/menu/media-chrome-menu-item.js';
import MediaRenditionMenu from 'media-chrome/dist/menu/media-rendition-menu.js';
import { renditionText } from './quality.js';

MediaRenditionMenu.formatRendition = renditionText;
