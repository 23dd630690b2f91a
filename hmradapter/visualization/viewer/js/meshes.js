// Frames and triangles come from scripts beside the page: a page opened from disk may load scripts, but not fetch() files.
// Numbers are as packing.py writes them. The world here is x right, y up, z towards the viewer; camera points are turned to it.
'use strict';

const hmradapter3d = (() => {
  const ARRAYS = {u2: Uint16Array, u4: Uint32Array, f4: Float32Array};  // little-endian, as every browser's machine is
  const triangles = new Map();  // name -> promise of an index attribute; shared by all views, kept
  let delivered = null;

  function load(folder, name) {
    return new Promise((resolve, reject) => {
      const script = document.createElement('script');
      script.src = `${encodeURIComponent(folder)}/${name}`;
      script.onload = () => { script.remove(); resolve(delivered); delivered = null; };
      script.onerror = () => {
        script.remove();
        reject(new Error(`${folder}/${name} is missing: keep that folder beside this page.`));
      };
      document.head.append(script);
    });
  }

  function numbers({type, data}) {
    const text = atob(data), bytes = new Uint8Array(text.length);
    for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
    return new ARRAYS[type](bytes.buffer);
  }

  function loadTriangles(folder, name) {
    if (!triangles.has(name)) {
      triangles.set(name, load(folder, name).then((packed) => new THREE.BufferAttribute(numbers(packed), 1)));
    }
    return triangles.get(name);
  }

  function loadPicture(uri) {
    return new Promise((resolve, reject) => {
      const image = new Image();
      image.onload = () => resolve(image);
      image.onerror = () => reject(new Error('the picture of a view cannot be decoded.'));
      image.src = uri;
    });
  }

  // {meshes: {variant: [{vertices, index, color}]}, picture}: coordinates stay packed until they are shown
  async function loadFrame(folder, name) {
    const frame = await load(folder, name), meshes = {};
    for (const [variant, people] of Object.entries(frame.meshes)) {
      meshes[variant] = await Promise.all(people.map(async ({vertices, faces, color}) => (
        {vertices: {...vertices, data: numbers(vertices)}, index: await loadTriangles(folder, faces), color})));
    }
    return {meshes, picture: frame.picture && await loadPicture(frame.picture)};
  }

  function geometry({vertices, index}) {
    const {data, origin = [0, 0, 0], step = [1, 1, 1]} = vertices, turn = [1, -1, -1];
    const points = new Float32Array(data.length);
    for (let i = 0; i < data.length; i++) points[i] = turn[i % 3] * (origin[i % 3] + step[i % 3] * data[i]);
    const result = new THREE.BufferGeometry();
    result.setAttribute('position', new THREE.BufferAttribute(points, 3));
    result.setIndex(index);
    result.computeVertexNormals();
    return result;
  }

  return {deliver(content) { delivered = content; }, loadFrame, geometry};
})();
