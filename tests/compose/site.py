"""site: the files of a folder, whole at once, or below /slow/ for some seconds. usage: site.py ADDRESS FOLDER"""

import functools
import http.server
import sys
import time

SLOWLY_S, PIECES = 6, 60


class Site(http.server.SimpleHTTPRequestHandler):
    def translate_path(self, path: str) -> str:
        return super().translate_path(path.replace("/slow/", "/"))

    def copyfile(self, source: object, outputfile: object) -> None:
        if not self.path.startswith("/slow/"):
            return super().copyfile(source, outputfile)
        whole = source.read()
        size = len(whole) // PIECES + 1
        for at in range(0, len(whole), size):
            outputfile.write(whole[at : at + size])
            time.sleep(SLOWLY_S / PIECES)


http.server.ThreadingHTTPServer((sys.argv[1], 80), functools.partial(Site, directory=sys.argv[2])).serve_forever()
